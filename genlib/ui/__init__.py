"""The browser side of genlib: components, controls, shareable state. The only package that imports Streamlit."""
