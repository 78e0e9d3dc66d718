"""The browser side of genlib: components, controls and shareable state. The only package here that imports Streamlit."""
